# The reader actor around the reader library.
add_executable(stigstore-reader ${CMAKE_CURRENT_LIST_DIR}/main.c ${CMAKE_CURRENT_LIST_DIR}/batches.c
  ${CMAKE_CURRENT_LIST_DIR}/streams.c)
target_link_libraries(stigstore-reader PRIVATE stigstore_options reader actor)
install(TARGETS stigstore-reader RUNTIME)
