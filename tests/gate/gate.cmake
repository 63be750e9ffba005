# Who gets in over tcp: the verbs that keep the keys, and a real service that listens on a port with them.
foreach(test verbs)
  stigstore_test(gate_${test} TIMEOUT 120 SOURCES gate/${test}.c gate/gate.c system/scene.c
    LIBRARIES test_support stigstore)
  add_dependencies(gate_${test} stigstore_cli stigstore-broker stigstore-writer stigstore-reader)
endforeach()
