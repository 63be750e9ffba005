# The unit for systemd, judged by systemd where it is installed.
add_test(NAME packaging_exposure COMMAND ${CMAKE_SOURCE_DIR}/tests/packaging/exposure.sh ${CMAKE_SOURCE_DIR})
set_tests_properties(packaging_exposure PROPERTIES TIMEOUT 120 SKIP_RETURN_CODE 77)
