# The writer actor around the writer library.
add_executable(stigstore-writer ${CMAKE_CURRENT_LIST_DIR}/main.c ${CMAKE_CURRENT_LIST_DIR}/service.c
  ${CMAKE_CURRENT_LIST_DIR}/inbox.c ${CMAKE_CURRENT_LIST_DIR}/copying.c)
target_compile_definitions(stigstore-writer PRIVATE STIGSTORE_VERSION="${PROJECT_VERSION}")
target_link_libraries(stigstore-writer PRIVATE stigstore_options writer actor)
install(TARGETS stigstore-writer RUNTIME)
