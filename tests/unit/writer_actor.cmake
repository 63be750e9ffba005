stigstore_test(writer_actor
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/writer_actor.c ${CMAKE_CURRENT_LIST_DIR}/actor_stage.c
          ${CMAKE_CURRENT_LIST_DIR}/../support/process.c
  LIBRARIES actor storage)
add_dependencies(writer_actor stigstore-writer)
stigstore_test(writer_inbox SOURCES ${CMAKE_CURRENT_LIST_DIR}/writer_inbox.c ${CMAKE_SOURCE_DIR}/writer/inbox.c
  LIBRARIES writer actor)
