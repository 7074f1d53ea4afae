"""C++ programs that people write, for the grammar `cpp` to accept: whole, so that a compiler takes them too.

Longer than other files, since it is all data.
"""

CPP = [
    """#include <bits/stdc++.h>
using namespace std;

/* Check whether two numbers of the list
   are closer to each other than threshold. */
bool has_close_elements(vector<float> numbers, float threshold) {
    for (int i = 0; i < numbers.size(); i++)
        for (int j = i + 1; j < numbers.size(); j++)
            if (abs(numbers[i] - numbers[j]) < threshold) return true;
    return false;
}
""",
    """#include <string>
#include <vector>

std::vector<std::string> separate_paren_groups(const std::string& paren_string) {
    std::vector<std::string> result;
    std::string current;
    int level = 0;
    for (char c : paren_string) {
        if (c == '(') { level += 1; current += c; }
        if (c == ')') {
            level -= 1;
            current += c;
            if (level == 0) { result.push_back(current); current.clear(); }
        }
    }
    return result;
}
""",
    """#include <iostream>
int main() {
    int n;
    std::cin >> n;
    long long total = 0, best = -1000000000LL;
    while (n--) {
        int x;
        std::cin >> x;
        total = std::max<long long>(total + x, x);
        best = total > best ? total : best;
    }
    std::cout << "best: " << best << '\\n';
    return 0;
}
""",
    """#include <algorithm>
#include <vector>
// longest increasing subsequence in O(n log n)
int lis(std::vector<int> const& a) {
    std::vector<int> tails;
    for (auto x : a) {
        auto it = std::lower_bound(tails.begin(), tails.end(), x);
        if (it == tails.end()) tails.push_back(x); else *it = x;
    }
    return static_cast<int>(tails.size());
}
""",
    """#include <map>
#include <vector>
#include <algorithm>
std::vector<std::vector<int>> grouped(const std::vector<std::vector<int>>& grid, int k) {
    std::map<int, std::vector<std::pair<int, int>>> found;
    for (size_t i = 0; i < grid.size(); ++i) {
        for (size_t j = 0; j < grid[i].size(); ++j) found[grid[i][j] % k].push_back({(int)i, (int)j});
    }
    std::vector<std::vector<int>> out(found.size(), std::vector<int>(2, 0));
    int at = 0;
    for (auto& [key, places] : found) {
        out[at][0] = key;
        out[at++][1] = places.size();
    }
    std::sort(out.begin(), out.end(), [](const std::vector<int>& a, const std::vector<int>& b) -> bool {
        return a[1] != b[1] ? a[1] < b[1] : a[0] < b[0];
    });
    return out;
}
""",
    """#include <stdexcept>
#include <string>
enum class Token { Number, Plus, Minus = 5, End, };
int parse(const std::string& s, int base = 10) {
    int value = 0, sign = 1;
    for (unsigned i = 0; i < s.size(); ++i) {
        switch (s[i]) {
            case ' ':
            case '\\t':
                break;
            case '-': sign = -sign; break;
            default: {
                if (s[i] < '0' || s[i] > '9') throw std::invalid_argument("bad digit: " + s);
                value = value * base + (s[i] - '0');
            }
        }
    }
    return sign * value;
}
int safe(const char* text) {
    try {
        return parse(text);
    } catch (const std::exception& e) {
        return -1;
    } catch (...) {
        return 0x7f;
    }
}
""",
    """class Shape {
public:
    virtual ~Shape() = default;
    virtual double area() const = 0;
protected:
    int id = 0;
};
class Square : public Shape {
    double side;
  public:
    explicit Square(double s) : Shape(), side(s) {}
    double area() const override { return side * side; }
};
double total(Shape** shapes, int n) {
    double sum = 0.0;
    for (int i = 0; i < n; i++) sum += shapes[i]->area();
    return sum;
}
""",
    """struct Node {
    int value;
    Node* left;
    Node* right;
    Node(int v) : value(v), left(nullptr), right(nullptr) {}
};
Node* insert(Node* root, int v) {
    if (!root) return new Node(v);
    if (v < root->value) root->left = insert(root->left, v);
    else if (v > root->value) root->right = insert(root->right, v);
    return root;
}
void clear(Node* root) {
    if (root == nullptr) return;
    clear(root->left); clear(root->right);
    delete root;
}
""",
    """#define MAXN 1005
#define MAX(a, b) ((a) > (b) ? (a) : (b))
typedef unsigned long long ull;
static int dp[MAXN][MAXN];
int lcs(const char *s, const char *t, int n, int m) {
    for (int i = 1; i <= n; i++) {
        for (int j = 1; j <= m; j++) {
            if (s[i - 1] == t[j - 1]) dp[i][j] = dp[i - 1][j - 1] + 1;
            else dp[i][j] = MAX(dp[i - 1][j], dp[i][j - 1]);
        }
    }
    return dp[n][m];
}
ull mix(ull x) { x ^= x >> 33; x *= 0xff51afd7ed558ccdULL; x ^= x << 7 | 1u; return ~x & 0777; }
""",
    """#include <queue>
#include <vector>
using Edge = std::pair<int, long>;
std::vector<long> dijkstra(const std::vector<std::vector<Edge>>& graph, int source) {
    std::vector<long> dist(graph.size(), 1L << 60);
    std::priority_queue<std::pair<long, int>, std::vector<std::pair<long, int>>, std::greater<std::pair<long, int>>> q;
    dist[source] = 0;
    q.push({0, source});
    do {
        auto [d, u] = q.top();
        q.pop();
        if (d > dist[u]) continue;
        for (const auto& [v, w] : graph[u]) {
            if (dist[u] + w < dist[v]) {
                dist[v] = dist[u] + w;
                q.emplace(dist[v], v);
            }
        }
    } while (!q.empty());
    return dist;
}
""",
    """#include <functional>
#include <vector>
int count_if_all(const std::vector<int>& xs, const std::vector<std::function<bool(int)>>& tests) {
    int count = 0;
    std::function<int(int, int)> add = [&](int a, int b) { return a + b; };
    for (int x : xs) {
        bool ok = true;
        for (auto& t : tests) ok = ok && t(x);
        count = add(count, ok ? 1 : 0);
    }
    auto twice = [count](auto x) mutable { count += x; return count * 2; };
    return twice(0) / 2;
}
""",
    """namespace geometry {
    struct Point {
        double x = 0, y = 0;
        Point operator+(const Point& o) const { return Point{x + o.x, y + o.y}; }
        bool operator==(const Point& o) const { return x == o.x && y == o.y; }
        bool operator()(int a) const { return a < x; }
    };
    template <typename T>
    T clamp(T value, T low, T high) {
        return value < low ? low : (value > high ? high : value);
    }
    namespace detail { const int kLimit = 3; }
}
int main() {
    geometry::Point p, q{1.5, .25e-3};
    if (geometry::Point r = p + q; r == q) return geometry::clamp<int>(7, 0, 3);
    return geometry::detail::kLimit;
}
""",
    """#include <string>
#include <unordered_map>
template <class K, class V>
class Cache {
private:
    std::unordered_map<K, V> items;
    static const int limit = 100;
    int hits = 0;
public:
    Cache() {}
    V* find(const K& key) {
        auto it = items.find(key);
        if (it == items.end()) return nullptr;
        hits++;
        return &it->second;
    }
    void put(const K& key, V value);
};
template <class K, class V>
void Cache<K, V>::put(const K& key, V value) { items[key] = value; }
""",
    r"""#include <cstdio>
int main(int argc, char** argv) {
    const char* names[] = {"tab\t", "quote\"", "nul\0", "\x41\\", "caf\303\251"};
    printf("%d %s" " joined\n", argc, argv[0]);
    for (int i = 0, j = 10; i < j; ++i, --j) {
        if (i == 3) continue;
        printf("%c%c\n", names[i % 5][0], '\'');
    }
    return 0;
}
""",
    """#include <vector>
using namespace std;
vector<vector<int>> multiply(const vector<vector<int>> &a, const vector<vector<int>> &b) {
    int n = a.size(), m = b[0].size(), k = b.size();
    vector<vector<int>> c(n, vector<int>(m));
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++) {
            int sum = 0;
            for (int t = 0; t < k; t++) sum += a[i][t] * b[t][j];
            c[i][j] = sum;
        }
    return c;
}
bool is_prime(int n) {
    if (n < 2) return false;
    for (int i = 2; i * i <= n; i++) if (n % i == 0) return false;
    return true;
}
int gcd(int a, int b) { while (b) { int t = a % b; a = b; b = t; } return a; }
""",
    r"""#include <cassert>
#include <iostream>
#include <set>
#include <vector>
// O(n \log n), of course
const int N = 1e5 + 5;
int arr[3] = {1, 2, 3}, total;
std::vector<int>::iterator first(std::vector<int> &v) { return v.begin(); }
int main(void) {
    std::vector<int> v{3, 1, 2}, *p = &v;
    std::set<std::pair<int, int>> seen;
    int *buffer = new int[N](), n = sizeof(arr) / sizeof(arr[0]);
    *buffer++ = (int)(v.size() * 2.5f) % 7;
    for (auto it = first(*p); it != v.end(); ++it) std::cout << (*it > 1 ? "big" : "small") << std::endl;
    for (const auto &x : {1, 2, 3}) total += x << 2 & 0xff;
    if (!(std::cin >> n) || n <= 0) return 1;
    else if (seen.insert({n, -n}).second) assert(n);
    for (;;) { if (--n < 0) break; else continue; }
    --buffer;
    delete[] buffer;
    (void)total;
}
""",
    """#include <memory>
#include <vector>
#include <map>
std::unique_ptr<int[]> sieve(int n) {
    std::unique_ptr<int[]> marks(new int[n + 1]);
    int* raw = marks.get();
    for (int i = 0; i <= n; ++i) raw[i] = 1;
    for (int p = 2; p * p <= n; ++p) {
        if (!raw[p]) continue;
        for (int m = p * p; m <= n; m += p) raw[m] = 0;
    }
    return marks;
}
std::map<int, std::map<int, std::vector<std::vector<int>>>> deep;
int probe() { return sizeof(int) + sizeof deep + (unsigned)3.5f + int('a') - -1; }
""",
]

NOT_CPP = [
    "int f() { return 1 }",
    "int f( { }",
    "int f() { if x { } }",
    "int 1x;",
    "int x = ;",
    'char* s = "open;',
    "char c = 'ab';",
    "/* open",
    "int f() { }}",
    "#include <vector> int x;",
    "int x; #define A 1\n",
    "int if = 3;",
    "f(a b);",
    "a = b",
    "class A { int x; }",
    "int f() { for (int i = 0; i < 3) { } }",
    "int f() { do { } while (x) }",
    "int f() { switch (x) { y; } }",
    "int f() { try { } }",
    "int x = a ++ b;",
    "int f() { else { } }",
    "int x = 0xg;",
    "vector<int x;",
    "int f(int a,) { }",
]
