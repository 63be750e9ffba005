stigstore_test(storage_lock SOURCES ${CMAKE_CURRENT_LIST_DIR}/storage_lock.c LIBRARIES storage)
