# What the other modules share with this one: the kernel table of a dtype, scratch for threads.

from libc.stdint cimport int64_t

from recsys.kernels cimport _native as native

ctypedef fused real:
    float
    double


cdef class Scratch:
    cdef object memory
    cdef char *base
    cdef int64_t stride


cdef const native.recsys_table *get_table(str isa, int double_precision) except NULL
