# In this order: what the first ones make, the others use.
foreach(part faulty/faulty process/kill process/soak power/power errors/errors errors/space overload/overload)
  include(${CMAKE_CURRENT_LIST_DIR}/${part}.cmake)
endforeach()
