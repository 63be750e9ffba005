# What the command promises to those who script it.
stigstore_test(system_cli_promises TIMEOUT 120 SOURCES system/cli_promises.c LIBRARIES test_support)
stigstore_test(system_wal TIMEOUT 240 SOURCES system/wal.c system/load.c LIBRARIES test_support stigstore)
