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
    return result;
}

int main() {
    vector<int> xs = {1, 2, 2, 3};
    cout << top_k(xs, 2)[0] << "\n";
}
