# A launcher in another language: asks what would be done, has it done, and is told what happens.
#
#   python3 launcher.py GAME [ARGUMENT...]
import json, os, subprocess, sys

plan = subprocess.run(["capsule", "plan", "--json", "--", *sys.argv[1:]], stdout=subprocess.PIPE)
if plan.returncode != 0:
    sys.exit(plan.returncode)  # it has said why
print("graphics from", ", ".join(capsule["tree"] for capsule in json.loads(plan.stdout)["capsules"]))

reader, writer = os.pipe()
game = subprocess.Popen(["capsule", "exec", "--events", str(writer), "--", *sys.argv[1:]], pass_fds=[writer])
os.close(writer)
for event in map(json.loads, open(reader)):
    if event["event"] == "linked":
        print("ready:", event["program"], *(library["soname"] for library in event["libraries"]))
    if event["event"] == "failed" and event["isFatal"]:
        print("cannot be started:", event["error"]["message"])
    if event["event"] in ("ended", "failed") and event["pid"] == game.pid:
        break
print("ended with", game.wait())
