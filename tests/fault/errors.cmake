# Errors of files and of memory: a program that stands in the C library's place, as the power cuts' does.
add_executable(fault_errors fault/errors.c fault/errors_client.c fault/errors_client_acts.c fault/errors_client_reads.c
  fault/errors_table.c fault/errors_writer.c fault/errors_controls.c fault/world.c fault/world_run.c fault/world_check.c fault/script.c
  fault/state.c fault/stigmer.c fault/memory.c fault/calls.c fault/disk.c fault/disk_names.c fault/place.c)
set_target_properties(fault_errors PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/fault OUTPUT_NAME errors)
target_link_libraries(fault_errors PRIVATE stigstore_options client_embedded PkgConfig::CMOCKA)
set(instead_of malloc calloc realloc reallocarray free strdup strndup realpath asprintf __asprintf_chk
  clock_boot_ns clock_deadline_ns
  writer_run sqlite_list_next sqlite_status sqlite_run sqlite_fail)
list(TRANSFORM instead_of PREPEND LINKER:--wrap=)
target_link_options(fault_errors PRIVATE ${instead_of})

stigstore_fault_test(fault_errors COMMAND fault_errors --every 37 TIMEOUT 300)
foreach(control half-list:client-reading:read wrong-status:client-saving:memory swallowed-write:client-saving:memory
        leak:client-opening:memory stuck:client-saving:sync)
  string(REPLACE ":" ";" control ${control})
  list(GET control 0 name)
  list(GET control 1 story)
  list(GET control 2 kind)
  stigstore_fault_test(fault_errors_control_${name} TIMEOUT 120
    COMMAND fault_errors --every 7 --story ${story} --kind ${kind} --control ${name})
endforeach()
