foreach(part endpoint health start latency)
  stigstore_test(actor_${part} SOURCES ${CMAKE_CURRENT_LIST_DIR}/actor_${part}.c LIBRARIES actor PkgConfig::JANSSON)
endforeach()
stigstore_test(actor_worker SOURCES ${CMAKE_CURRENT_LIST_DIR}/actor_worker.c ${CMAKE_CURRENT_LIST_DIR}/actor_stage.c
  LIBRARIES actor)
foreach(part reader reader_lists)
  stigstore_test(actor_${part} SOURCES ${CMAKE_CURRENT_LIST_DIR}/actor_${part}.c
    ${CMAKE_CURRENT_LIST_DIR}/actor_scene.c ${CMAKE_CURRENT_LIST_DIR}/actor_stage.c LIBRARIES actor storage)
  add_dependencies(actor_${part} stigstore-reader)
endforeach()
