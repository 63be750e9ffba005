if(TARGET bench AND TARGET test_support)
  stigstore_test(system_bench SYSTEM TIMEOUT 300 SOURCES system/bench.c LIBRARIES test_support PkgConfig::JANSSON)
endif()
