# Errors of files and of memory: a program that stands in the C library's place, as the power cuts' does.
set(errors_parts errors/errors errors/client errors/client_acts errors/client_reads errors/table errors/controls
  errors/memory disk/calls disk/disk disk/disk_names disk/place)
list(TRANSFORM errors_parts REPLACE "(.+)" "fault/\\1.c")
set(instead_of malloc calloc realloc reallocarray free strdup strndup realpath asprintf __asprintf_chk
  clock_boot_ns clock_deadline_ns
  sqlite_list_next sqlite_status sqlite_run sqlite_fail)
list(TRANSFORM instead_of PREPEND LINKER:--wrap=)
add_executable(fault_errors ${errors_parts} fault/errors/local.c fault/errors/writer.c ${fault_world})
target_link_libraries(fault_errors PRIVATE stigstore_options client_embedded PkgConfig::CMOCKA)
add_executable(fault_errors_remote ${errors_parts} fault/errors/remote.c)
target_compile_definitions(fault_errors_remote PRIVATE STIGSTORE_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
target_link_libraries(fault_errors_remote PRIVATE stigstore_options client_full test_support PkgConfig::CMOCKA)
foreach(program errors errors_remote)
  set_target_properties(fault_${program} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/fault OUTPUT_NAME ${program})
  target_link_options(fault_${program} PRIVATE ${instead_of})
endforeach()
target_link_options(fault_errors PRIVATE LINKER:--wrap=writer_run) # the world watches it
target_link_options(fault_errors_remote PRIVATE LINKER:--wrap=body_decode_replies)

stigstore_fault_test(fault_errors_remote COMMAND fault_errors_remote --kind memory --every 3 TIMEOUT 300)
stigstore_fault_test(fault_errors_remote_control_wrong-status TIMEOUT 120
  COMMAND fault_errors_remote --kind memory --story remote-reading --control wrong-status)
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
