if(NOT STIGSTORE_SANITIZE AND NOT STIGSTORE_COVERAGE) # the image is built its own way, whatever this build is
  add_test(NAME containers COMMAND ${CMAKE_SOURCE_DIR}/tests/containers/containers.sh)
  set_tests_properties(containers PROPERTIES TIMEOUT 900 SKIP_RETURN_CODE 77 RUN_SERIAL TRUE)
endif()
