# One fixture, one binary for each part of the writing side.
set(storage_write_parts storage_write storage_write_delete storage_write_keys storage_write_open storage_write_disk
    storage_write_backup storage_write_memory storage_write_text)
foreach(name ${storage_write_parts})
  stigstore_test(${name}
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/${name}.c ${CMAKE_CURRENT_LIST_DIR}/storage_write_store.c
            ${CMAKE_CURRENT_LIST_DIR}/storage_write_fault.c ${CMAKE_SOURCE_DIR}/tests/support/folder.c
    LIBRARIES storage)
endforeach()
