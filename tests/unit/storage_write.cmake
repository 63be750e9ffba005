foreach(name storage_write storage_write_delete storage_write_keys)
  stigstore_test(${name}
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/${name}.c ${CMAKE_CURRENT_LIST_DIR}/storage_write_store.c
            ${CMAKE_SOURCE_DIR}/tests/support/folder.c
    LIBRARIES storage)
endforeach()
