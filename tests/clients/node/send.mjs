// Sends Segment's six calls for each of some people, with Segment's library for Node as it is: send.mjs HOST WRITE_KEY PEOPLE
import { Analytics } from "@segment/analytics-node";

const [host, writeKey, people] = process.argv.slice(2);
const analytics = new Analytics({ host, writeKey });
analytics.on("error", (error) => {
  console.error(error);
  process.exitCode = 1;
});
for (const userId of people.split(",")) {
  analytics.identify({ userId, traits: { plan: "pro" } });
  analytics.track({ userId, event: "Order Placed", properties: { total: 12 } });
  analytics.page({ userId, name: "Home" });
  analytics.screen({ userId, name: "Home" });
  analytics.group({ userId, groupId: "acme", traits: { name: "Acme" } });
  analytics.alias({ userId, previousId: `${userId}-before` });
}
await analytics.closeAndFlush();
