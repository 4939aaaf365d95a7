"""A server killed in the midst of writes has, after its restart, every write it answered."""
import threading
import unittest
import urllib.error

from server import Server

WRITERS = 4
MAPS = "/api/v1/namespaces/default/configmaps"


class Crash(unittest.TestCase):
    def test_every_answered_write_survives_sigkill(self):
        server = Server()
        answered = {}

        def write(number):
            count = 0
            while True:
                name = f"w{number}-{count}"
                try:
                    made = server.request("POST", MAPS, {"metadata": {"name": name}, "data": {"n": str(count)}})
                except (urllib.error.URLError, ConnectionError, OSError, ValueError):
                    return
                answered[name] = made["metadata"]["resourceVersion"]
                count += 1

        writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        while len(answered) < 400:
            writers[0].join(0.01)
        server.kill()
        for writer in writers:
            writer.join()

        server.start()
        stored = {
            item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in server.request("GET", MAPS)["items"]
        }
        missing = {name: version for name, version in answered.items() if stored.get(name) != version}
        self.assertEqual(missing, {})
        newest = server.request("POST", MAPS, {"metadata": {"name": "after"}})["metadata"]["resourceVersion"]
        self.assertGreater(int(newest), max(int(version) for version in stored.values()))
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
