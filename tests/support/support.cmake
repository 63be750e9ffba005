add_library(test_support STATIC support/folder.c support/process.c support/service.c)
target_link_libraries(test_support PUBLIC stigstore_options PkgConfig::CMOCKA)
target_compile_definitions(test_support PRIVATE STIGSTORE_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
