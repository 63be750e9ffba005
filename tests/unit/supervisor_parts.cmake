if(TARGET actor_plain AND TARGET storage)
  if(NOT TARGET supervisor)
    include(${CMAKE_SOURCE_DIR}/cli/supervisor.cmake)
  endif()
  stigstore_test(supervisor_state SOURCES ${CMAKE_CURRENT_LIST_DIR}/supervisor_state.c LIBRARIES supervisor)
  stigstore_test(supervisor_run SOURCES ${CMAKE_CURRENT_LIST_DIR}/supervisor_run.c
    ${CMAKE_CURRENT_LIST_DIR}/supervisor_child.c LIBRARIES supervisor)
  if(TARGET stigstore-broker AND TARGET stigstore-writer AND TARGET stigstore-reader)
    stigstore_test(supervisor_service SYSTEM SOURCES ${CMAKE_CURRENT_LIST_DIR}/supervisor_service.c
      LIBRARIES supervisor PkgConfig::JANSSON)
    add_dependencies(supervisor_service stigstore-broker stigstore-writer stigstore-reader)
  endif()
endif()
