"""Heap profiles in the formats of other tools, small and written by hand from what these tools write."""

from __future__ import annotations

import json

MAPS = """\
MAPPED_LIBRARIES:
00400000-00401000 r--p 00000000 fe:00 11     /opt/fixed
00401000-00402000 r-xp 00001000 fe:00 11     /opt/fixed
55d000000000-55d000001000 r--p 00000000 00:00 12     /opt/app
55d000001000-55d000003000 r-xp 00001000 00:00 12     /opt/app
7f0000001000-7f0000002000 r-xp 00041000 00:00 13     /opt/lib with blanks.so (deleted)
7f0000008000-7f0000009000 rw-p 00000000 00:00 0
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0      [vdso]
"""
GPERFTOOLS = (
    """\
heap profile:     11:     2148 [    40:     9000] @ heapprofile
    10:      100 [    20:      200] @ 0x55d000001010 0x55d000001100 0x00401010
     1:     2048 [    19:     8600] @ 0x7f0000001008 0x55d000001100
     0:        0 [     1:      200] @ 0x55d000001010

"""
    + MAPS
)
GPERFTOOLS_SAMPLED = (
    """\
heap profile:      3:     1536 [     3:     1536] @ heap_v2/524288
     2:      512 [     2:      512] @ 0x55d000001010
     1:     1024 [     1:     1024] @ 0x55d000001020

"""
    + MAPS
)
JEMALLOC = (
    """\
heap_v2/4096
  t*: 5: 2304 [0: 0]
  t0: 3: 1280 [0: 0]
  t1: 2: 1024 [0: 0] a thread
@ 0x55d000001010 0x55d000001100
  t*: 4: 256 [0: 0]
  t0: 2: 128 [0: 0]
  t1: 2: 128 [0: 0]
@ 0x55d000001020 0x55d000001100
  t*: 1: 2048 [0: 0]
  t0: 1: 2048 [0: 0]

"""
    + MAPS
)
GO = """\
heap profile: 1: 1024 [3: 4096] @ heap/1048576
1: 1024 [2: 2048] @ 0x45f1e5 0x45f2a0
#\t0x45f1e4\tmain.inlined+0x24\t\t/src/main.go:12
#\t0x45f1e4\tmain.load+0x24\t\t/src/main.go:20
#\t0x45f29f\tmain.main+0x1f\t\t/src/main.go:30


# runtime.MemStats
# Alloc = 1024
"""
HEAPTRACK = """\
v 10400 3
X ./app --fast
I 1000 5e298d
s 8 /opt/app
s 6 string
s 5 app.h
s 4 main
s 5 app.c
s 4 load
i 55d000001010 1 2 3 7 6 5 14
i 55d000001100 1 4 5 1e
t 2 0
t 1 1
a 10 2
+ 0
+ 0
c 5
R 100
a 1000 1
+ 1
- 1
+ 0
c f
R 300
- 0
c 19
R 200
# strings: 6
# ips: 2
"""
HEAPTRACK_RAW = """\
v 10400 3
x 8 /opt/app
X ./app --fast
I 1000 5e298d
m 1 -
m 1 x 55d000000000 0 1000 1000 2000
m 13 /opt/with blanks 10 7f0000000000 0 8000
t 55d000001101 0
t 55d000001011 1
+ 10 2 aaa0
+ 10 2 aab0
c 5
R 100
t 7f0000001008 1
+ 1000 3 bbb0
- bbb0
- ccc0
+ 10 2 aac0
c f
R 300
- aaa0
c 19
R 200
"""
MASSIF = """\
desc: --time-unit=ms
cmd: ./app --fast
time_unit: ms
#-----------
snapshot=0
#-----------
time=0
mem_heap_B=0
mem_heap_extra_B=0
mem_stacks_B=0
heap_tree=empty
#-----------
snapshot=1
#-----------
time=500
mem_heap_B=600
mem_heap_extra_B=24
mem_stacks_B=0
heap_tree=detailed
n1: 600 (heap allocation functions) malloc/new/new[], --alloc-fns, etc.
 n0: 600 0x109227: load(int, char (&) [4]) (app.c:7)
#-----------
snapshot=2
#-----------
time=1500
mem_heap_B=1000
mem_heap_extra_B=40
mem_stacks_B=0
heap_tree=peak
n3: 1000 (heap allocation functions) malloc/new/new[], --alloc-fns, etc.
 n2: 900 0x109227: load(int, char (&) [4]) (app.c:7)
  n0: 500 0x10936F: main (app.c:14)
  n0: 300 0x10938B: ??? (in /opt/lib (x).so)
 n0: 60 0x10999F: ???
 n0: 40 in 3 places, all below massif's threshold (1.00%)
#-----------
snapshot=3
#-----------
time=2000
mem_heap_B=100
mem_heap_extra_B=4
mem_stacks_B=0
heap_tree=empty
"""
DHAT = json.dumps(
    {
        "dhatFileVersion": 2,
        "mode": "heap",
        "verb": "Allocated",
        "bklt": True,
        "bkacc": True,
        "tu": "instrs",
        "Mtu": "Minstr",
        "tuth": 500,
        "cmd": "./app --fast",
        "pid": 8788,
        "te": 3871811,
        "tg": 3669140,
        "pps": [
            {"tb": 900, "tbk": 9, "gb": 600, "gbk": 6, "eb": 100, "ebk": 1, "fs": [1, 2, 3]},
            {"tb": 50, "tbk": 5, "gb": 0, "gbk": 0, "eb": 0, "ebk": 0, "fs": [1, 2]},
        ],
        "ftbl": [
            "[root]",
            "0x48417B4: malloc (in /usr/libexec/valgrind/vgpreload_dhat-amd64-linux.so)",
            "0x109227: load (app.c:7)",
            "0x10936F: main (src/app.c:14:5)",
        ],
    }
)
COLLAPSED = """\
main;load;string 4096
main;load;; 100
main 4
"""
