/** The bus as seen from above, its front to the north. Drawn here, so that no picture file is needed. */
import type { Palette } from "./palette";

const SIZE = 44;

export function busImage(colour: Palette): ImageData {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIZE;
  const draw = canvas.getContext("2d");
  if (!draw) return new ImageData(SIZE, SIZE);
  draw.translate(SIZE / 2, SIZE / 2);
  draw.lineJoin = "round";
  draw.beginPath();
  draw.moveTo(0, -18);
  draw.lineTo(11, -7);
  draw.lineTo(11, 15);
  draw.lineTo(-11, 15);
  draw.lineTo(-11, -7);
  draw.closePath();
  draw.fillStyle = colour.vehicle;
  draw.strokeStyle = colour.halo;
  draw.lineWidth = 4;
  draw.stroke();
  draw.fill();
  draw.fillStyle = colour.halo;
  draw.fillRect(-7, -5, 14, 5);
  return draw.getImageData(0, 0, SIZE, SIZE);
}
