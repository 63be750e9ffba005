stigstore_test(storage_file SOURCES ${CMAKE_CURRENT_LIST_DIR}/storage_file.c LIBRARIES storage)
stigstore_test(storage_file_upgrade SOURCES ${CMAKE_CURRENT_LIST_DIR}/storage_file_upgrade.c LIBRARIES storage)
