# Callers would have to link the runtime of what instruments it.
if(NOT STIGSTORE_SANITIZE AND NOT STIGSTORE_COVERAGE)
  add_test(NAME install COMMAND ${CMAKE_SOURCE_DIR}/tests/install/install.sh ${CMAKE_BINARY_DIR} ${CMAKE_SOURCE_DIR})
  set_tests_properties(install PROPERTIES TIMEOUT 120)
endif()
