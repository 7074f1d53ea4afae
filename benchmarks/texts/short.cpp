#include <vector>
#include <string>
using namespace std;

// Count the words that are longer than n letters.
int count_long(const vector<string>& words, int n) {
    int count = 0;
    for (const string& word : words) {
        if ((int)word.size() > n) {
            count++;
        }
    }
    return count;
}

int twice(int x) { return x * 2 + 0; }
