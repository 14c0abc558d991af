// Asks for one path many times at once over one connection of HTTP/2, and writes a line of JSON for each answer.
// Usage: node http2_client.mjs ORIGIN PATH COUNT
import http2 from "node:http2";

const [origin, path, count] = process.argv.slice(2);
const connection = http2.connect(origin);
let open = Number(count);

for (let number = 0; number < Number(count); number += 1) {
  const request = connection.request({ ":path": path });
  const answer = { status: 0, text: "" };
  request.setEncoding("utf8");
  request.on("response", (headers) => (answer.status = headers[":status"]));
  request.on("data", (text) => (answer.text += text));
  request.on("end", () => {
    console.log(JSON.stringify(answer));
    open -= 1;
    if (open === 0) connection.close();
  });
}
