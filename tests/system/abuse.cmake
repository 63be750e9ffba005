# Memory of the broker under abuse; sanitizers keep memory of their own.
if(NOT STIGSTORE_SANITIZE)
  stigstore_test(system_abuse TIMEOUT 240 SOURCES system/abuse.c system/zmtp.c system/load.c
    LIBRARIES test_support stigstore proto_wire)
  set_tests_properties(system_abuse PROPERTIES RUN_SERIAL TRUE)
endif()
