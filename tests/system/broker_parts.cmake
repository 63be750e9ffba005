# The broker's real process, driven raw.
if(TARGET stigstore-broker AND TARGET test_support)
  foreach(name raw faults keys)
    stigstore_test(broker_${name} SYSTEM TIMEOUT 120 LIBRARIES test_support proto_wire PkgConfig::ZMQ PkgConfig::CZMQ
      SOURCES ${CMAKE_CURRENT_LIST_DIR}/broker_${name}.c ${CMAKE_CURRENT_LIST_DIR}/raw.c)
    add_dependencies(broker_${name} stigstore-broker)
  endforeach()
endif()
