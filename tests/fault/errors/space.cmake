# Actors with errors of files built in, and a file system that is full. The supervisor starts what lies beside it.
set(failing ${CMAKE_BINARY_DIR}/tests/failing)
foreach(actor writer reader)
  fault_program(fault_failing_${actor} stigstore-${actor}
    SOURCES fault/errors/failing.c fault/disk/calls.c fault/disk/disk.c fault/disk/disk_names.c
    INSTEAD_OF sqlite_full_allows)
  set_target_properties(fault_failing_${actor} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${failing})
endforeach()
add_custom_command(TARGET fault_failing_writer POST_BUILD
  COMMAND ${CMAKE_COMMAND} -E copy $<TARGET_FILE:stigstore-broker> $<TARGET_FILE:stigstore_cli> ${failing})
add_dependencies(fault_failing_writer stigstore-broker stigstore_cli)

foreach(program full failing_service)
  add_executable(fault_${program} fault/errors/${program}.c system/scene.c)
  set_target_properties(fault_${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(fault_${program} PRIVATE stigstore_options stigstore test_support PkgConfig::CMOCKA
    PkgConfig::SQLITE)
endforeach()
stigstore_fault_test(fault_full COMMAND fault_full ${CMAKE_RUNTIME_OUTPUT_DIRECTORY} TIMEOUT 240)
# Controls: the test must end by this very complaint.
stigstore_fault_test(fault_full_control COMMAND fault_full ${failing} TIMEOUT 240)
set_tests_properties(fault_full_control PROPERTIES ENVIRONMENT STIGSTORE_FULL_REFUSES=1
  PASS_REGULAR_EXPRESSION "delete_resource[^\n]*: expected OK, got STORAGE_FULL")
stigstore_fault_test(fault_failing_service COMMAND fault_failing_service ${failing} TIMEOUT 300)
stigstore_fault_test(fault_failing_service_control COMMAND fault_failing_service ${failing} forgets TIMEOUT 300)
set_tests_properties(fault_failing_service_control PROPERTIES
  PASS_REGULAR_EXPRESSION "the fault is gone, and there is no service")
