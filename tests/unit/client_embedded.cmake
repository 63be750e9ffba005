# The client library on a file of its own.
foreach(name client_embedded client_queue client_life)
  stigstore_test(${name}_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/${name}.c ${CMAKE_CURRENT_LIST_DIR}/client_fixture.c
    LIBRARIES client_embedded)
endforeach()
stigstore_test(client_owner_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/client_owner.c
  ${CMAKE_CURRENT_LIST_DIR}/client_fixture.c ${CMAKE_CURRENT_LIST_DIR}/storage_write_fault.c
  LIBRARIES client_embedded)
stigstore_test(client_pool_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/client_pool.c
  ${CMAKE_CURRENT_LIST_DIR}/storage_read_fixture.c ${CMAKE_CURRENT_LIST_DIR}/../support/folder.c
  LIBRARIES client_embedded)
