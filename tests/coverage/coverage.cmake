# Each fault that is built into something has a test that must find it; with sanitizers, some of both are not built.
if(NOT STIGSTORE_SANITIZE)
  add_test(NAME failpoints COMMAND ${CMAKE_CURRENT_LIST_DIR}/failpoints ${CMAKE_BINARY_DIR})
  set_tests_properties(failpoints PROPERTIES TIMEOUT 60)
endif()
