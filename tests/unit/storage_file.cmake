stigstore_test(storage_file SOURCES ${CMAKE_CURRENT_LIST_DIR}/storage_file.c LIBRARIES storage)
stigstore_test(storage_file_upgrade SOURCES ${CMAKE_CURRENT_LIST_DIR}/storage_file_upgrade.c LIBRARIES storage)
stigstore_test(storage_file_crash
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/storage_file_crash.c ${CMAKE_CURRENT_LIST_DIR}/storage_write_fault.c
  LIBRARIES storage)
stigstore_test(storage_path SOURCES ${CMAKE_CURRENT_LIST_DIR}/storage_path.c LIBRARIES storage)
