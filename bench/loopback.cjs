// Loaded before a server that has no option for its address: makes it listen on 127.0.0.1 and nowhere else.
const net = require("node:net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  const options = typeof port === "object" && port !== null ? port : { port: Number(port) };
  const callback = rest.find((argument) => typeof argument === "function");
  return listen.call(this, { ...options, host: "127.0.0.1" }, callback);
};
