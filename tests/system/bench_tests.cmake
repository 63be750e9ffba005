stigstore_test(system_bench TIMEOUT 300 SOURCES system/bench.c LIBRARIES test_support PkgConfig::JANSSON)
