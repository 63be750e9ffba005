stigstore_test(writer_clock
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/writer_clock.c ${CMAKE_CURRENT_LIST_DIR}/writer_fixture.c
          ${CMAKE_CURRENT_LIST_DIR}/../support/folder.c
  LIBRARIES writer)
