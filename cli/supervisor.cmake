# The supervisor behind `serve`: plain C, no ZeroMQ.
add_library(supervisor STATIC ${CMAKE_CURRENT_LIST_DIR}/supervisor.c ${CMAKE_CURRENT_LIST_DIR}/supervise_children.c
  ${CMAKE_CURRENT_LIST_DIR}/supervise_state.c)
target_link_libraries(supervisor PUBLIC stigstore_options proto_core actor_plain storage)
