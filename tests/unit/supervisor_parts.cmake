stigstore_test(supervisor_state SOURCES ${CMAKE_CURRENT_LIST_DIR}/supervisor_state.c LIBRARIES supervisor)
stigstore_test(supervisor_run SOURCES ${CMAKE_CURRENT_LIST_DIR}/supervisor_run.c
  ${CMAKE_CURRENT_LIST_DIR}/supervisor_child.c LIBRARIES supervisor)
stigstore_test(supervisor_service SOURCES ${CMAKE_CURRENT_LIST_DIR}/supervisor_service.c
  LIBRARIES supervisor PkgConfig::JANSSON)
add_dependencies(supervisor_service stigstore-broker stigstore-writer stigstore-reader)
