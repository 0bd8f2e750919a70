// A small stand-in for the door of suggestions and decisions, for tests against a server that has no such door yet.
// Never a part of the console. It keeps what it is told until it stops.

const GATE = "urn:ngsi-ld:FloodGate:Minatomachi:North";
const GAUGE = "urn:ngsi-ld:WaterObserved:Minatomachi:Upper";
/** As in the demo: a minute in a second, from where its own clock was. */
const PACE = 60;

const later = (base, minutes) => new Date(Date.parse(base) + minutes * 60_000).toISOString();

function suggestion(base, number, what, minutes, more = {}) {
  return {
    id: `urn:ngsi-ld:Suggestion:${number}`, status: "open", what, why: "The river stands at 2.31 m, above 2.2 m.",
    rule: "flood-gate-north", about: GAUGE,
    proposes: [{ entity: GATE, attribute: "setPosition", value: "closed" }],
    evidence: [{ entity: GAUGE, attribute: "waterLevel", value: 2.31, unitCode: "MTR", observedAt: later(base, -2) }],
    alternatives: ["Send somebody to look first"], expects: "The north bank stays dry for some three hours.",
    location: { type: "Point", coordinates: [142.5066679, 34.2233823] }, holds: true,
    raisedAt: later(base, -5), deadline: later(base, minutes), approvalsNeeded: 1, approvals: 0, ...more,
  };
}

export function loop(base) {
  const began = Date.now();
  const now = () => later(base, ((Date.now() - began) * PACE) / 60_000);
  const suggestions = [
    suggestion(base, 1, "Close the flood gate North", 60 * 24),
    suggestion(base, 2, "Open the shelters of Hama Ward", 60 * 30, { approvalsNeeded: 2, approvals: 1, proposes: [{ entity: "urn:ngsi-ld:EvacuationShelter:Minatomachi:01", attribute: "status", value: "open" }, { entity: "urn:ngsi-ld:EvacuationShelter:Minatomachi:02", attribute: "capacity", value: 120 }] }),
    suggestion(base, 3, "Tell the buses of the Harbour Line to turn at the bridge", 60 * 40, { holds: false }),
  ];
  const records = new Map();
  const commands = [
    { id: "urn:ngsi-ld:Command:9", entity: GATE, attribute: "setPosition", value: "open", status: "unknown", decision: "urn:ngsi-ld:Decision:9", issuedAt: later(base, -110), expiresAt: later(base, -100), attempts: 1, note: "The connection broke after it was sent." },
  ];

  function record(one) {
    if (!records.has(one.id)) {
      records.set(one.id, {
        suggestion: one, decisions: [], commands: [], acknowledgements: [], effects: [],
        timeline: [{ at: one.raisedAt, what: "Suggested by the rule flood-gate-north", by: "rule:flood-gate-north", id: one.id }],
      });
    }
    return records.get(one.id);
  }

  function judge(one, verdict, body) {
    if (one.status !== "open") return [409, { title: "It was decided already.", detail: `${one.decidedBy} decided at ${one.decidedAt}.`, code: "OPS-002" }];
    if (verdict !== "approve" && !body.reason) return [400, { title: "A reason is needed.", detail: "Say why.", code: "OPS-003" }];
    one.status = { approve: "approved", alter: "altered", reject: "rejected" }[verdict];
    [one.decidedBy, one.decidedAt] = ["local-operator", now()];
    const told = record(one);
    const id = `urn:ngsi-ld:Decision:${one.id.at(-1)}`;
    told.decisions.push({ id, verdict, by: "local-operator", reason: body.reason, at: now(), proposes: body.proposes ?? one.proposes });
    told.timeline.push({ at: now(), what: `Decided: ${verdict}${body.reason ? `: ${body.reason}` : ""}`, by: "local-operator", id });
    if (verdict !== "reject") {
      for (const [index, proposal] of (body.proposes ?? one.proposes).entries()) {
        const command = { id: `urn:ngsi-ld:Command:${one.id.at(-1)}-${index}`, ...proposal, status: "sent", decision: id, issuedAt: now(), expiresAt: later(now(), 30), attempts: 1 };
        commands.push(command);
        told.commands.push(command);
      }
    }
    return [200, told];
  }

  /** Status and body, or undefined for a path that is not the loop's. */
  return (method, path, body) => {
    const [, what, id, act] = /^\/ops\/v1\/(suggestions|commands|rules|actuators)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(path) ?? [];
    if (!what) return undefined;
    if (what === "rules") return [200, { rules: [{ id: "flood-gate-north", name: "Flood gate North", watches: "WaterObserved", when: "waterLevel > 2.2", says: "When the upper gauge stands above 2.2 m, the gate should be closed.", isOn: true, failure: null }] }];
    if (what === "actuators") return [200, { actuators: [] }];
    if (what === "suggestions" && !id) return [200, { suggestions, now: now() }];
    if (what === "commands" && !id) return [200, { commands, now: now() }];
    const wanted = decodeURIComponent(id);
    if (what === "suggestions") {
      const one = suggestions.find((other) => other.id === wanted);
      if (!one) return [404, { title: "It does not exist.", detail: `Suggestion ${wanted} does not exist.`, code: "OPS-001" }];
      return method === "POST" ? judge(one, act, body) : [200, record(one)];
    }
    const command = commands.find((other) => other.id === wanted);
    if (act === "resolution" && command) command.status = body.outcome === "done" ? "acknowledged" : "refused";
    if (act === "revoke" && command) command.status = "revoked";
    return [200, command];
  };
}
