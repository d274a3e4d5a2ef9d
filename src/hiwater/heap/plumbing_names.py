"""The names of plumbing: regular expressions for whole short names of functions, a blank between two of them.

Sources: the documentation of each library and its public headers.
"""

LIBC = r"""
    malloc calloc realloc reallocarray reallocf free memalign aligned_alloc posix_memalign valloc pvalloc cfree mmap
    mmap64 mremap munmap brk sbrk __libc_\w+ _int_\w+ sysmalloc tcache_\w+
    str(n)?dup __str(n)?dup wcsdup v?asprintf __v?asprintf\w* __vasprintf_internal
    (__)?(w?mem(set|cpy|pcpy|move)|bzero|(str|stp)n?cpy)(_\w+)? __(p?read|readv|recv\w*)(64)?
    operator\ (new|delete)(\[\])? _Zn[wa][mj]\w* _Zd[la]P\w* __cxa_allocate_\w+ __cxa_get_globals
"""

WRAPPERS = r"""
    _?_?(x|e|s|mem_?|my_?|safe_?|xx|ck_?|checked_?|must_?|die_)(n|2n)?(m|c|z|re|rec)alloc(array|_?flex)?(_\w+)?
    x2n?realloc xmemdup\w* xstrn?dup \w*_?xmalloc z(m|c|re)alloc\w* ztry\w+alloc\w* zstrdup zrealloc\w*
    g_(try_)?(m|c|re)alloc\w* g_slice_\w+ g_strn?dup\w* g_memdup2? g_new\w* g_array_maybe_expand
    (je|_rjem|_rjem_je|mi|tc|rp|sn|scudo)_\w*(alloc|new|dup|posix_memalign)\w* rp(m|c|re)alloc av_(m|re)alloc\w*
    av_mallocz\w* av_fast_\w*alloc\w* CRYPTO_(z|re)?(m|re|z)alloc\w* OPENSSL_(z|re)?alloc\w*
    sqlite3\w*(Malloc|Realloc|MemMalloc)\w* palloc\w* repalloc\w* Allocset\w+ AllocSet\w+
    MemoryContext(Alloc\w*|Strdup|Create\w*) GenerationAlloc\w* SlabAlloc\w* BumpAlloc\w* pg_(m|re)alloc\w*
    pg_strdup pstrdup pnstrdup
    ngx_(alloc|calloc|memalign|create_pool|palloc\w*|pcalloc|pnalloc|pmemalign|array_(create|push\w*|init)|list_push|pstrdup)
    apr_(palloc\w*|pcalloc\w*|pstr\w+|pool_create\w*|allocator_\w+) allocator_alloc Allocate\w*From\w*Arena
    (\w+::)*(Arena|Allocator|MemoryPool|\w+Allocator)::(\w*[Aa]lloc\w*|operator\ new) WTF::fastMalloc\w*
    PR_(M|C|Re)alloc moz_x(m|c|re)alloc
"""

CPP = r"""
    std::.* __gnu_cxx::.* __cxxabiv1::.* __cxa_\w+ boost::container::.*
    boost::(unordered|intrusive|pool|detail|make_shared|shared_ptr|movelib).* absl::\w*container_internal::.*
    absl::(InlinedVector|Cord|flat_\w+|node_\w+|btree\w*)::.* folly::(fbvector|fbstring|F14\w*|f14).* eastl::.*
    llvm::(SmallVector\w*|BumpPtrAllocator\w*|StringMap\w*|DenseMap\w*|safe_\w+|allocate_buffer|MallocAllocator)(::.*)?
    QArrayData::.* QTypedArrayData::.* QListData::.* QList::.* QVector::.* QByteArray::.* QString::.* QHash\w*::.*
    QMap\w*::.* v8::.* node::.* Builtins_\w+
"""

RUST = r"""
    __rust_\w+ __rg_\w+ __rdl_\w+ _R?\w*___rust_\w+ rust_(re)?alloc\w*
    alloc::(alloc|raw_vec|vec|string|boxed|rc|sync|collections|slice|str|borrow|fmt|ffi|task)::.*
    core::(ops|iter|ptr|slice|mem|result|option|fmt|clone|convert|hash|any|cell|str|array|num|intrinsics|alloc|default|cmp)::.*
    hashbrown::.* indexmap::.* smallvec::.* bytes::(bytes_mut|bytes)::.*
    std::(alloc|collections|io|sys|rt|thread|ffi|path)::.* <(alloc|core|std|hashbrown|smallvec|indexmap)::.*
    <.*\ as\ (core|alloc|std)::(clone|iter|convert|ops|default|alloc|borrow|string|slice|vec)::.*>::.*
"""

GO = r"""
    runtime\.(?!main$).* runtime/internal/.* internal/runtime/.*
    x_cgo_mmap _cgo_\w+ reflect\.(unsafe_New\w*|growslice|makemap\w*|New|MakeSlice|MakeMap\w*)
"""

# Allocators of CPython and the constructors of its types: they count where no frame of Python is there.
PYTHON = r"""
    _?Py(Object|Mem|Arena|MemRaw|DataMem)_\w*(Malloc|Calloc|Realloc|Free|Alloc|New|NewVar|Resize|Dup)\w* _PyMem_\w+
    _PyObject_GC_\w+ _Py_NewReference PyType_GenericAlloc _PyType_Alloc\w* _PyObject_(New|NewVar|Malloc|Calloc)\w*
    Py(List|Tuple|Dict|Set|Bytes|ByteArray|Unicode|Long|Float|Complex|Cell|Slice)_(New\w*|From\w+|Append|Insert|Resize)
    Py(List|Dict|Set|Unicode)_(Copy|SetItem\w*|SetDefault|Add|Concat|Join|Decode\w*) PyUnicode_\w+
    Py(Method|CFunction|CMethod|Frame|Code|Function)_New\w*
    _Py(List|Tuple|Dict|Set|Bytes|Unicode|Long|BytesWriter|UnicodeWriter|Frame|Stack)\w*_(New|From|Resize|Init|Finish)\w*
    _Py(List|Tuple|Dict|Set|Bytes|Unicode|BytesWriter|UnicodeWriter)\w*_(Prepare|Copy|Realloc|Extend)\w*
    npy_alloc_cache\w* PyDataMem_\w+ PyArray_malloc _npy_alloc_cache default_(m|c|re)alloc
"""

# Static functions of CPython: only where the code is the interpreter's own.
CPYTHON = r"""
    pymalloc_\w+ new_arena arena_map_\w+ gc_alloc list_\w+ tuple_alloc dict(_)?resize insertdict insert_to_emptydict
    new_keys_object new_values new_dict\w* set_table_resize set_add_entry long_alloc unicode_resize resize_\w+
    bytes_\w+resize \w+_tp_alloc
"""

START = r"""
    _start _init _dl_\w+ dl_main __libc_start_\w+ start_thread clone3? __clone\w* call_init\w* _GLOBAL__sub_I_\w+
    __static_initialization_and_destruction_0
"""
