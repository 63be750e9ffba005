# Tests on the real processes; the support library is behaviour's.
foreach(test exactly_once daemon)
  stigstore_test(system_${test} TIMEOUT 300 SOURCES system/${test}.c system/load.c LIBRARIES test_support stigstore)
endforeach()

stigstore_test(system_cli TIMEOUT 120 SOURCES system/cli.c LIBRARIES test_support)
stigstore_test(system_files TIMEOUT 120 SOURCES system/files.c LIBRARIES test_support stigstore PkgConfig::SQLITE)

if(NOT STIGSTORE_SANITIZE) # sanitizers keep memory of their own
  stigstore_test(system_memory TIMEOUT 300 SOURCES system/memory.c system/load.c LIBRARIES test_support stigstore)
  set_tests_properties(system_memory PROPERTIES RUN_SERIAL TRUE)
endif()
