# Power cuts: a program of its own, since it stands in the C library's place.
set(fault_world world world_run world_check script state stigmer) # and of errors
list(TRANSFORM fault_world REPLACE "(.+)" "fault/power/\\1.c")
add_executable(fault_power fault/power/power.c ${fault_world} fault/disk/calls.c fault/disk/disk.c
  fault/disk/disk_names.c fault/disk/place.c)
set_target_properties(fault_power PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/fault OUTPUT_NAME power)
target_link_libraries(fault_power PRIVATE stigstore_options writer storage PkgConfig::CMOCKA)
# Each cut is followed by another boot.
target_link_options(fault_power PRIVATE
  LINKER:--wrap=clock_boot_id LINKER:--defsym=__wrap_clock_boot_id=power_boot_id LINKER:--wrap=wal_rewrite)
# The functions that are replaced must not be inline ones.
set_source_files_properties(fault/disk/calls.c PROPERTIES COMPILE_OPTIONS -U_FORTIFY_SOURCE)

set(power_seed 20260101)
stigstore_fault_test(fault_power COMMAND fault_power --cuts 10000 --seed 20261127 TIMEOUT 600)
foreach(control synchronous-off acknowledge-early ready-early lying-sync trust-wal)
  stigstore_fault_test(fault_power_control_${control}
    COMMAND fault_power --cuts 2500 --seed ${power_seed} --durability full --control ${control} TIMEOUT 600)
endforeach()
