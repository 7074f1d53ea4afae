#include <algorithm>
#include <iostream>
#include <map>
#include <vector>
using namespace std;

/* The k most frequent numbers of a list,
   the most frequent first. */
vector<int> top_k(const vector<int>& numbers, int k) {
    map<int, int> seen;
    for (int i = 0; i < (int)numbers.size(); i++) {
        seen[numbers[i]] += 1;
    }
    vector<pair<int, int>> pairs;
    for (auto& entry : seen) {
        pairs.push_back({-entry.second, entry.first});
    }
    sort(pairs.begin(), pairs.end());
    vector<int> result;
    for (int i = 0; i < k && i < (int)pairs.size(); ++i) {
        result.push_back(pairs[i].second);
    }
    while (result.size() > 10) {
        result.pop_back();
    }
    return result;
}

int main() {
    vector<int> xs = {1, 2, 2, 3};
    cout << top_k(xs, 2)[0] << "\n";
}

struct Point {
    double x = 0.0;
    double y = 0.0;
    Point(double a, double b) : x(a), y(b) {}
    double norm() const { return x * x + y * y; }
};

// Is there a pair of points closer than limit?
bool has_close(vector<Point> points, double limit) {
    for (size_t i = 0; i < points.size(); i++) {
        for (size_t j = i + 1; j < points.size(); j++) {
            double dx = points[i].x - points[j].x;
            double dy = points[i].y - points[j].y;
            if (dx * dx + dy * dy < limit * limit) {
                return true;
            }
        }
    }
    return false;
}

string encode(string text, int shift) {
    string out = "";
    for (char c : text) {
        if (c == ' ') {
            out += c;
        }
    }
    return out;
}
