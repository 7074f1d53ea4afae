"""C++17 by construct: what compiles, so that the grammar `cpp` must accept it, and what g++ refuses for its syntax."""

RIGHT = {
    "alternative tokens": [
        "bool in(int x, int lo, int hi) { return x >= lo and x < hi or not x; }",
        "unsigned mix(unsigned x) { x xor_eq 5u; return compl x bitor (x bitand 3u) xor 1u; }",
    ],
    "directives": [
        "#define HALF(x) ((x) / 2)  // x / 2, rounded\n#undef HALF /* gone */\nint a;",
        "#pragma once\n#line 7\nint a;\n#define LAST",
        "#define SUM(a, ...) \\\n    (a + \\\n     __VA_ARGS__)\nint three = SUM(1, 2);",
        "int f() {\n#define STEP 2\n    return STEP;\n#undef STEP\n}",
    ],
    "conditionals": [
        "#ifndef ONCE_H\n#define ONCE_H\nint once;\n#endif  // ONCE_H",
        "#if defined(FAST) && !(LEVEL > 2)\nint f();\n#elif LEVEL\nlong f();\n#else\nchar f();\n#endif\n",
        "int f(int x) {\n#ifdef DEBUG\n    x++;\n#else\n    x--;\n#endif\n    return x;\n}",
        "struct S {\n#ifdef WIDE\n    long x;\n#  ifdef WIDER\n    long y;\n#  endif\n#endif\n    int z;\n};",
    ],
    "literals": [
        'const char* a = R"(one "two"\n three)";\nconst char* b = R"x(f(")") )x";\nconst wchar_t* c = L"w" L"\\u00e9";',
        "double h = 0x1.8p-2, m = 1'000.5e+3;\nunsigned long long b = 0b1010'0101ull;\nchar16_t u = u'\\x41';",
        'constexpr long operator""_km(unsigned long long n) { return 1000 * n; }\nlong far = 12_km;',
        'const char* s = "split \\\n here";\nint sum = 1 + \\\n 2;',
    ],
    "templates": [
        "template <unsigned N = (4 > 2), bool = true> struct Box { int items[N * 2]; };\nBox<1 << 2> box;",
        "template <typename... T> int count(T... t) { return (0 + ... + t) + sizeof...(T); }",
        "template <class T> struct A { struct B; };\ntemplate <class T> struct A<T*> {};\n"
        "template <> struct A<int> {};\n"
        "template struct A<char>;",
        "template <typename T> struct S { template <typename U> U get(); };\n"
        "template <typename T> int f(S<T> s) { return s.template get<int>(); }",
        "template <bool> struct If {};\ntemplate <typename T, typename = If<(sizeof(T) > 1)>> void f(T) {}",
        "template <template <typename> class C, typename T> C<T> wrap(T t);\n"
        "template <class T> constexpr int size = sizeof(T);",
    ],
    "declarations": [
        "struct P { int x, y; } origin, *here = &origin;\ntypedef struct { int n; } Count;\n"
        "struct P (*make)(int, double[]);",
        "int f(), g, *h = &g, k(3), n{4};\nint table[2][2] = {{1, 2}, {3, 4},};",
        "int (*ops[2])(int);\nvoid rows(int (&t)[2], void (*done)());",
        "struct S { int v; void m(); };\nint S::*field = &S::v;\nvoid (S::*call)() = &S::m;\n"
        "int at(S& s) { return s.*field; }",
        "enum class Color : unsigned char { red, green = 4, };\nenum Flat { a, b } flat;\nenum class Later : int;",
        "using Fn = int (*)(int);\nnamespace outer::inner { int x; }\nnamespace in = outer::inner;\n"
        "using outer::inner::x;",
        'extern "C" {\nint from_c(int);\n}\nextern "C++" int from_cpp();\nstatic_assert(sizeof(int) >= 2, "small");',
        "[[nodiscard]] int f([[maybe_unused]] int x);\nstruct alignas(16) Wide { int x; };\n"
        "__attribute__((noinline)) int slow();",
        "struct Q {};\n::Q q;\n::Q make() { return ::Q(); }",
    ],
    "classes": [
        "struct A { A(); ~A(); explicit A(int) noexcept; };\nA::A() = default;\nA::~A() {}\nA::A(int) noexcept {}",
        "class B { friend class C; friend int peek(const B& b); mutable int hits = 0; union { int i; float f; };"
        " unsigned low : 3, high : 5; static constexpr int kind = 2; };",
        "struct V { virtual ~V() = 0; virtual int f() const noexcept(true) = 0; };\n"
        "struct D final : virtual public V { int f() const noexcept override final { return 1; } };",
        "struct N { explicit operator bool() const { return true; } operator int*(); int operator()(int) &&;"
        " int& operator[](int); N& operator+=(const N&); void* operator new(unsigned long); };",
        "struct Base { Base(int); void g(); };\n"
        "struct More : Base { using Base::Base; using Base::g; int a{1}, b = 2; };",
    ],
    "statements": [
        "int main() { {} }",
        "void f(int n) { again: if (n-- > 0) goto again; }",
        "int f(int n) { switch (int m = n; m) { case 1: case 2: { n = 3; } break; default: ; } return n; }",
        "struct P { int a, b; };\n"
        "int f(P p) { const auto& [x, y] = p; if (auto z = x; z > y) return z; else return y; }",
        "template <typename T> int f(T t) { if constexpr (sizeof(T) > 4) return 1; else { return 0; } }",
        "int f(int x) { switch (x) { case 1: [[fallthrough]]; default: return 2; } }",
        "void f() { for (int i = 0, *p = &i; i < 3; ++i, p++) ; int a[] = {1, 2}; for (int x : a) { x++; } }",
    ],
    "expressions": [
        "int f(int a, int b) { ++a /= 2; a = b = 3; (a > b ? a : b) = 4; return a++, b; }",
        "int f(int x) { return x ? x : throw x; }",
        "int** rows() { return new int*[3]; }\nint* one() { return new int(3); }\n"
        "void no(int* p) { delete[] p, delete p; }",
        "auto twice = [](auto x) mutable noexcept -> int { return x * 2; };\nint four = [] { return 2; }() * 2;",
        "void f() { int n = 1; auto g = [&, m = n + 1](int x = 2) { n = m + x; }; g(); }",
        "long f(double d) { return int(d) + (long)d + static_cast<long>(d) + unsigned(3) + sizeof d + alignof(long); }",
        "template <typename... F> void all(F... f) { (f(), ...); }\n"
        "bool less(int a, int b) { return a < b && b > (a); }",
    ],
}

WRONG = [
    "using std;",
    "int f() { vector<float> = {}; }",
    "int f() { a b c; }",
    "int f() { int a[3, 4]; }",
    "int f() { return 1 }",
    "int f() { sizeof; }",
    "int f() { new; }",
    "int f() { goto; }",
    "int f() { end: }",
    "int f() { case 1: ; }",
    "int f() { if (1) else ; }",
    "int f() { x = []; }",
    "int f() { static_cast<>(1); }",
    "int f() { 1 ? 2; }",
    "int f() { a and; }",
    "int f() { auto x = 0xp3; }",
    "int f() { throw return; }",
    "template <typename T int f();",
    "template <> ;",
    "template <typename T> struct A<T { };",
    "struct S { int x : ; };",
    "struct S { virtual int x() = ; };",
    "struct S { operator; };",
    "struct S : { };",
    "enum { A, , B };",
    "namespace a. { }",
    'extern "C" 3;',
    "static_assert();",
    'int a = R"(open;',
    "int a; #define X 1\n",
    "#if 1\nint a;\n",
    "int a;\n#endif\n",
    "#ifdef A\n#else\n#else\n#endif\n",
    "#if )\nint a;\n#endif\n",
    "[[nodiscard] int f();",
    "typedef int;x",
    "int f(int a,);",
    "int 2x;",
    "int f() { auto [] = 1; }",
    "int f() { for (int x : ) ; }",
]
