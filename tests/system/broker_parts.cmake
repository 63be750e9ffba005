# The broker's real process, driven raw: with fake workers, and with the real ones.
set(broker_tests raw faults keys store)
foreach(name ${broker_tests})
  stigstore_test(broker_${name} TIMEOUT 120 LIBRARIES test_support proto_wire PkgConfig::ZMQ PkgConfig::CZMQ
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/broker_${name}.c ${CMAKE_CURRENT_LIST_DIR}/raw.c)
  add_dependencies(broker_${name} stigstore-broker)
endforeach()
add_dependencies(broker_store stigstore-writer stigstore-reader)
