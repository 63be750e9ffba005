foreach(test reader_answer reader_stream)
  stigstore_test(${test} SOURCES ${CMAKE_CURRENT_LIST_DIR}/${test}.c ${CMAKE_CURRENT_LIST_DIR}/storage_read_fixture.c
    ${CMAKE_SOURCE_DIR}/tests/support/folder.c LIBRARIES reader)
endforeach()
