set(read_fixture ${CMAKE_CURRENT_LIST_DIR}/storage_read_fixture.c ${CMAKE_CURRENT_LIST_DIR}/storage_write_fault.c
    ${CMAKE_SOURCE_DIR}/tests/support/folder.c)
foreach(test storage_read storage_read_list storage_read_snapshot storage_read_open storage_read_beside storage_read_memory)
  stigstore_test(${test} SOURCES ${CMAKE_CURRENT_LIST_DIR}/${test}.c ${read_fixture} LIBRARIES storage)
endforeach()
