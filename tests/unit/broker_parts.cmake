foreach(name rules bounds model)
  stigstore_test(broker_route_${name} LIBRARIES broker_route
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/broker_route_${name}.c ${CMAKE_CURRENT_LIST_DIR}/broker_sim.c)
endforeach()
