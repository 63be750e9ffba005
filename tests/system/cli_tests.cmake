# What the command promises to those who script it.
stigstore_test(system_cli_promises TIMEOUT 120 SOURCES system/cli_promises.c LIBRARIES test_support)
