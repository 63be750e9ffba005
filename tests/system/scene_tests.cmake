# More tests on the real processes, which share scene.c.
foreach(test replaced standalone defaults lists deletes copies operator hostile cancelled)
  stigstore_test(system_${test} TIMEOUT 120 SOURCES system/${test}.c system/scene.c system/load.c
    LIBRARIES test_support stigstore PkgConfig::SQLITE PkgConfig::JANSSON)
  target_compile_definitions(system_${test} PRIVATE SCENE_IS_SANITIZED=$<BOOL:${STIGSTORE_SANITIZE}>)
endforeach()
