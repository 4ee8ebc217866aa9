/* Macros of real platforms, defined before dtcodec.h is. A name that the header uses for something of its own breaks.
 * The standard headers that dtcodec.h includes come first: they are the platform's. */
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Any use of a macro that expands to this is an error. */
#define HOSTILE ) hostile macro (

/* windows.h: windef.h, rpcndr.h, wingdi.h, winuser.h, winnt.h */
#define near
#define far
#define small     char
#define hyper     __int64
#define interface struct
#define pascal    __stdcall
#define cdecl     __cdecl
#define NEAR      near
#define FAR       far
#define IN
#define OUT
#define OPTIONAL
#define CONST       const
#define VOID        void
#define STRICT      1
#define TRUE        1
#define FALSE       0
#define ERROR       0
#define NO_ERROR    0L
#define DELETE      (0x00010000L)
#define IGNORE      0
#define INFINITE    0xFFFFFFFF
#define ABSOLUTE    1
#define RELATIVE    2
#define OPAQUE      2
#define TRANSPARENT 1
#define DIFFERENCE  11
#define min(a, b)   HOSTILE
#define max(a, b)   HOSTILE

/* compilers of segmented and Unix machines; altivec.h */
#define huge
#define interrupt
#define unix   1
#define linux  1
#define i386   1
#define mips   1
#define sun    1
#define vector __vector
#define pixel  __pixel

/* complex.h, sys/types.h, sys/param.h, sys/mman.h, linux/fs.h, termios.h, netinet/in.h, strings.h, assert.h, stdio.h */
#define I                  (1.0iF)
#define complex            _Complex
#define imaginary          _Imaginary
#define major(device)      HOSTILE
#define minor(device)      HOSTILE
#define MIN(a, b)          HOSTILE
#define MAX(a, b)          HOSTILE
#define howmany(x, y)      HOSTILE
#define roundup(x, y)      HOSTILE
#define setbit(a, i)       HOSTILE
#define isset(a, i)        HOSTILE
#define PAGE_SIZE          4096
#define BLOCK_SIZE         (1 << 10)
#define B0                 0000000
#define s_addr             S_un.S_addr
#define index(s, c)        HOSTILE
#define rindex(s, c)       HOSTILE
#define bcopy(from, to, n) HOSTILE
#undef assert
#define assert(condition) HOSTILE
#undef EOF
#define EOF (-1)

/* math.h of System V */
#undef DOMAIN
#undef SING
#undef OVERFLOW
#undef UNDERFLOW
#undef HUGE
#define DOMAIN    1
#define SING      2
#define OVERFLOW  3
#define UNDERFLOW 4
#define HUGE      3.4e38

/* Arduino.h and binary.h */
#define HIGH                    0x1
#define LOW                     0x0
#define INPUT                   0x0
#define OUTPUT                  0x1
#define DEFAULT                 1
#define EXTERNAL                0
#define INTERNAL                3
#define SERIAL                  0x0
#define DISPLAY                 0x1
#define PI                      3.1415926535897932384626433832795
#define EULER                   2.718281828459045235360287471352
#define E                       2.718281828459045235360287471352
#define B1                      1
#define B11                     3
#define F(text)                 HOSTILE
#define bit(b)                  HOSTILE
#define sq(x)                   HOSTILE
#define abs(x)                  HOSTILE
#define constrain(x, low, high) HOSTILE
#define radians(degrees)        HOSTILE
#define bitRead(value, bit)     HOSTILE
#define lowByte(w)              HOSTILE
#define word(...)               HOSTILE
#undef round
#define round(x) HOSTILE

/* X.h and Xlib.h */
#define Bool     int
#define Status   int
#define True     1
#define False    0
#define None     0L
#define Success  0
#define Always   2
#define Above    0
#define Below    1
#define Complex  0
#define Convex   2
#define Unsorted 0

/* Qt, Objective-C, and macOS's AssertMacros.h */
#define emit
#define slots
#define signals                      public
#define foreach(variable, container) HOSTILE
#define forever                      for (;;)
#define nil                          ((void *)0)
#define Yes                          1
#define No                           0
#define YES                          1
#define NO                           0
#define check(assertion)             HOSTILE
#define verify(assertion)            HOSTILE
#define require(assertion, label)    HOSTILE

/* lwIP's sockets.h */
#define accept(s, address, length)                       HOSTILE
#define bind(s, name, length)                            HOSTILE
#define close(s)                                         HOSTILE
#define connect(s, name, length)                         HOSTILE
#define listen(s, backlog)                               HOSTILE
#define open(path, flags, ...)                           HOSTILE
#define read(s, memory, length)                          HOSTILE
#define recv(s, memory, length, flags)                   HOSTILE
#define select(count, readers, writers, others, timeout) HOSTILE
#define send(s, data, size, flags)                       HOSTILE
#define shutdown(s, how)                                 HOSTILE
#define socket(domain, type, protocol)                   HOSTILE
#define write(s, data, length)                           HOSTILE

/* curses.h */
#define clear()           HOSTILE
#define erase()           HOSTILE
#define move(y, x)        HOSTILE
#define refresh()         HOSTILE
#define box(window, v, h) HOSTILE

/* kernels, microcontrollers' headers, config.h */
#define likely(x)              HOSTILE
#define unlikely(x)            HOSTILE
#define swap(a, b)             HOSTILE
#define clamp(x, low, high)    HOSTILE
#define current                HOSTILE
#define ARRAY_SIZE(array)      HOSTILE
#define BIT(n)                 HOSTILE
#define RESET                  0
#define SET                    1
#define READ_BIT(address, bit) HOSTILE
#define VERSION                "1.0"
#define PACKAGE                "package"
#define DEBUG                  1
#define NDEBUG                 1

/* math.h in C: they do not tell what is finite under -ffast-math */
#undef isnan
#undef isinf
#undef isfinite
#undef isnormal
#undef signbit
#undef fpclassify
#define isnan(x)      HOSTILE
#define isinf(x)      HOSTILE
#define isfinite(x)   HOSTILE
#define isnormal(x)   HOSTILE
#define signbit(x)    HOSTILE
#define fpclassify(x) HOSTILE
