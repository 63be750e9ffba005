stigstore_test(bench_parts SOURCES unit/bench_parts.c LIBRARIES bench test_support)
