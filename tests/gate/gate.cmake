# Who gets in over tcp: the verbs that keep the keys, and a real service that listens on a port with them.
foreach(test verbs entry lockout)
  stigstore_test(gate_${test} TIMEOUT 120 LIBRARIES test_support stigstore proto_wire PkgConfig::ZMQ
    SOURCES gate/${test}.c gate/gate.c gate/far.c gate/crush.c system/scene.c)
  add_dependencies(gate_${test} stigstore_cli stigstore-broker stigstore-writer stigstore-reader)
endforeach()
